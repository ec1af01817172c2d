"""Costs of work with a language model: the price of tokens, a cap, an account of what was spent, an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from genre.display import counted
from genre.llm.base import LanguageModel
from genre.options import Doc, Ge, check_options


def money_of(model: LanguageModel, tokens_in: float, tokens_out: float) -> float:
    """Compute what calls cost by the provider's prices.

    Args:
        model: The language model; its prices are for a million tokens.
        tokens_in: Tokens of prompts.
        tokens_out: Tokens of answers.

    Returns:
        Money, in the unit of the prices.
    """
    return (tokens_in * model.price_in + tokens_out * model.price_out) / 1e6


@dataclass(frozen=True)
class Budget:
    """Hard caps of one job."""

    calls: Annotated[
        Annotated[int, Ge(0)] | None, Doc("Most calls that are answered or may be billed; None: no cap.")
    ] = None
    tokens: Annotated[Annotated[int, Ge(0)] | None, Doc("Most tokens, in and out together; None: no cap.")] = None
    money: Annotated[Annotated[float, Ge(0)] | None, Doc("Most money by the provider's prices; None: no cap.")] = None

    def __post_init__(self) -> None:
        check_options(self)

    def reached(self, spent: Spent) -> str:
        """Name the cap that is exceeded.

        Args:
            spent: What a job has used.

        Returns:
            The cap in words; empty while none is exceeded.
        """
        if self.calls is not None and spent.calls > self.calls:
            return counted(self.calls, "call")
        if self.tokens is not None and spent.tokens > self.tokens:
            return counted(self.tokens, "token")
        return f"money {self.money}" if self.money is not None and spent.money > self.money else ""


NO_CAP = Budget()


@dataclass(frozen=True)
class Spent:
    """What a job has used so far.

    Attributes:
        calls: Calls that were answered or may be billed.
        tokens: Tokens, in and out together.
        money: By the provider's prices.
    """

    calls: int = 0
    tokens: int = 0
    money: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.tokens + other.tokens, self.money + other.money)

    def __str__(self) -> str:
        return f"{counted(self.calls, 'call')}, {counted(self.tokens, 'token')}, money {self.money:.4f}"


@dataclass(frozen=True)
class Plan:
    """What a piece of work would cost: as expected, and at most.

    Attributes:
        questions: How many prompts there are.
        cached: How many of them were answered before.
        calls: Calls to the model that are needed, exactly.
        tokens_in: Expected tokens of prompts.
        tokens_out: Expected tokens of answers.
        seconds: Expected wall time; None before a first call.
        money: Expected money, by the provider's prices.
        most_tokens: Tokens in and out that are never exceeded: every byte of a prompt a token, every answer as long as
            allowed, repaired where repairs are on, and after as many attempts as there may be.
        most_money: The money of these.
        at_most: The prompts depend on answers that do not exist yet, so that all numbers are upper bounds.
    """

    questions: int = 0
    cached: int = 0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float | None = 0.0
    money: float = 0.0
    most_tokens: int = 0
    most_money: float = 0.0
    at_most: bool = False

    def __add__(self, other: Plan) -> Plan:
        numbers = ("questions", "cached", "calls", "tokens_in", "tokens_out", "money", "most_tokens", "most_money")
        return Plan(
            **{name: getattr(self, name) + getattr(other, name) for name in numbers},
            seconds=None if self.seconds is None or other.seconds is None else self.seconds + other.seconds,
            at_most=self.at_most or other.at_most,
        )

    def __str__(self) -> str:
        if not self.calls:
            return (
                f"nothing to ask ({counted(self.questions, 'question')}, all answered before)"
                if self.questions
                else "nothing to ask"
            )
        took = "time unknown until a first call" if self.seconds is None else f"about {self.seconds:,.0f} s"
        calls = f"{'at most ' if self.at_most else ''}{counted(self.calls, 'call')}"
        return (
            f"{calls} ({counted(self.questions, 'question')}, {self.cached:,} answered before), "
            f"about {self.tokens_in:,} tokens in, {self.tokens_out:,} out, {took}, money {self.money:.4f}; "
            f"at most {self.most_tokens:,} tokens, money {self.most_money:.4f}"
        )
