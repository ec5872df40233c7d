"""Rules about the search space: V37 to V44, and what algorithms would stumble over later."""

import math
import re
from collections.abc import Iterator

import msgspec

from kfx.apis.common import FeasibleSpace, ParameterSpec
from kfx.apis.experiment import ExperimentSpec
from kfx.katib.validation.context import Findings
from kfx.katib.validation.field_error import FieldError, invalid, required
from kfx.kube.model import to_builtins

_TYPES = ("int", "double", "categorical", "discrete", "unknown")
_DISTRIBUTIONS = ("uniform", "logUniform", "normal", "logNormal", "unknown")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


def check_space(spec: ExperimentSpec) -> Iterator[FieldError]:
    """V37 and V38: parameters or nasConfig, never both."""
    if not spec.parameters and spec.nas_config is None:
        yield required("spec", "give spec.parameters, or spec.nasConfig for architecture search")
    if spec.parameters and spec.nas_config is not None:
        detail = "only one of spec.parameters and spec.nasConfig may be given; remove one"
        yield invalid("spec", to_builtins(spec), detail)


def check_parameters(spec: ExperimentSpec, findings: Findings) -> None:
    """V39 to V44 for each parameter, then numbers, lists and names (table of defects, K16)."""
    seen: set[str] = set()
    for index, parameter in enumerate(spec.parameters):
        path = f"spec.parameters[{index}]"
        found = list(_check_parameter(parameter, path))
        findings.errors += found or _check_values(parameter, f"{path}.feasibleSpace")
        for doubt in _doubts(parameter, path):
            findings.warn(doubt)
        if parameter.name in seen:
            detail = "the name is taken by an earlier parameter; give each its own"
            findings.errors.append(invalid(f"{path}.name", parameter.name, detail))
        seen.add(parameter.name)
        if findings.enough:
            return


def _check_parameter(parameter: ParameterSpec, path: str) -> Iterator[FieldError]:
    kind, space = parameter.parameter_type, parameter.feasible_space
    if kind not in _TYPES:
        yield invalid(f"{path}.parameterType", kind, f"write one of: {', '.join(_TYPES[:-1])}")
    if space == FeasibleSpace():
        yield required(f"{path}.feasibleSpace", "give min and max, or a list")
        return
    if space.distribution and space.distribution not in _DISTRIBUTIONS:
        detail = f"write one of: {', '.join(_DISTRIBUTIONS[:-1])}"
        yield invalid(f"{path}.feasibleSpace.distribution", space.distribution, detail)
    if kind in ("int", "double"):
        if space.list:
            detail = f"a parameter of type {kind} has min and max; remove the list, or use type discrete"
            yield invalid(f"{path}.feasibleSpace.list", list(space.list), detail)
        if not space.max or not space.min:
            yield required(f"{path}.feasibleSpace.max", f"set both min and max for type {kind}")
    elif kind in ("categorical", "discrete") and (space.max or space.min or space.step):
        detail = f"a parameter of type {kind} has a list only; remove min, max and step"
        yield invalid(f"{path}.feasibleSpace", msgspec.to_builtins(space), detail)


def _check_values(parameter: ParameterSpec, path: str) -> Iterator[FieldError]:
    kind, space = parameter.parameter_type, parameter.feasible_space
    if kind in ("categorical", "discrete") and not space.list:
        yield required(f"{path}.list", f"list the values that a {kind} parameter may take")
    if kind not in ("int", "double"):
        return
    numbers = {name: _number(getattr(space, name)) for name in ("min", "max", "step") if getattr(space, name)}
    for name, number in numbers.items():
        if number is None or (kind == "int" and not number.is_integer()):
            wanted = "a whole number" if kind == "int" else "a number"
            yield invalid(f"{path}.{name}", getattr(space, name), f"write {wanted}, in quotes")
            return
    low, high = numbers["min"], numbers["max"]
    if low is not None and high is not None and low > high:
        yield invalid(f"{path}.min", space.min, f"must not exceed max {space.max}; swap the two")


def _doubts(parameter: ParameterSpec, path: str) -> Iterator[str]:
    """What some algorithms take and others do not."""
    space, kind = parameter.feasible_space, parameter.parameter_type
    if kind == "unknown":
        yield f"{path}.parameterType unknown is accepted by no algorithm; write {', '.join(_TYPES[:-1])}"
    if not parameter.name:
        yield f"{path}.name is empty; no trial parameter can refer to it"
    if kind not in ("int", "double"):
        return
    low, step = _number(space.min), _number(space.step)
    if space.distribution in ("logUniform", "logNormal") and low is not None and low <= 0:
        yield f"{path}.feasibleSpace.min is not positive, {space.distribution} needs it to be"
    if step is not None and step <= 0:
        yield f"{path}.feasibleSpace.step is not positive; remove it or write a positive number"


def _number(text: str) -> float | None:
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None
