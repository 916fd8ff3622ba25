"""Which models answers are about: figures and evidence never mix two different models."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_dash.domain import Deployment, Release, Role, Snapshot, name_of


@dataclass(frozen=True)
class ServedModel:
    """The identity of a deployed model."""

    base: str
    release: Release
    version: int | None
    """None while its replicas restart."""

    @classmethod
    def from_deployment(cls, model: Deployment) -> ServedModel:
        """Return the identity of a deployed model."""
        return cls(model.base, model.release, model.version)

    @property
    def name(self) -> str:
        """The model's short name."""
        return name_of(self.base)

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} version {self.version}"

    def is_replaced_by(self, other: ServedModel) -> bool:
        """Whether the other is another model; an unknown version may be any."""
        if None in (self.version, other.version):
            return (self.base, self.release) != (other.base, other.release)
        return self != other


@dataclass(frozen=True)
class ModelPair:
    """Current and New at one moment."""

    current: ServedModel | None
    new: ServedModel | None

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> ModelPair:
        """Return the models of a snapshot."""
        models = snapshot.current, snapshot.new
        return cls(*(ServedModel.from_deployment(model) if model else None for model in models))

    def of(self, role: Role) -> ServedModel | None:
        """Return the model of a role, or None."""
        return self.current if role is Role.CURRENT else self.new

    def is_replaced_by(self, other: ModelPair) -> bool:
        """Whether one of the models is another one in the other pair."""
        pairs = (self.current, other.current), (self.new, other.new)
        return any(
            before.is_replaced_by(after) if before and after else before != after for before, after in pairs
        )
