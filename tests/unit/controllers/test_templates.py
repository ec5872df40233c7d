from kfx.apis.experiment import ConfigMapSource, TrialTemplate
from kfx.controllers.templates import CONFIG_MAPS, Template, TemplateReader
from tests.katib_objects import experiment
from tests.unit.controllers.parts import Live

SOURCE = ConfigMapSource(config_map_name="c", config_map_namespace="ns", template_path="job.yaml")
OF = experiment(template=TrialTemplate(config_map=SOURCE))


async def test_an_inline_template_is_not_read_anywhere() -> None:
    live = Live()
    assert await TemplateReader(client=live, core_namespace="kubeflow").read(experiment()) == Template()
    assert live.reads == 0


async def test_the_text_comes_from_the_named_key() -> None:
    live = Live({(CONFIG_MAPS, "ns", "c"): {"metadata": {}, "data": {"job.yaml": "kind: Job"}}})
    reader = TemplateReader(client=live, core_namespace="kubeflow")
    assert await reader.read(OF) == Template("kind: Job")


async def test_a_missing_config_map_is_a_problem_that_may_pass() -> None:
    found = await TemplateReader(client=Live(), core_namespace="kubeflow").read(OF)
    assert found.text is None
    assert found.problem.startswith("configMap not found")
