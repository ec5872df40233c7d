"""Why an Experiment does not progress: facts go in, the first broken link comes out. Pure."""

from kfx.katib.explanation.explain import explain
from kfx.katib.explanation.facts import Facts, HookSeen, LeaseSeen, Unread
from kfx.katib.explanation.finding import Broken, Check, Explanation, Ref

__all__ = ["Broken", "Check", "Explanation", "Facts", "HookSeen", "LeaseSeen", "Ref", "Unread", "explain"]
