"""What a transaction changed, as it is told."""

from matching.domain.shortlist import Rank
from matching.engine.layout import Array


class ListChange:
    """A need whose list reads differently."""

    __slots__ = ("_names", "_renewed", "_scores", "need_id")

    def __init__(self, need_id: str, names: Array, scores: Array, renewed: Array) -> None:
        self.need_id = need_id
        self._names, self._scores, self._renewed = names, scores, renewed

    @property
    def listed(self) -> list[Rank]:
        """Its ten best now."""
        pairs = zip(self._scores.tolist(), self._names.tolist(), strict=True)
        return [Rank(-score, name.decode()) for score, name in pairs if score >= 0]

    @property
    def renewed(self) -> frozenset[str]:
        """Which of them changed themselves."""
        return frozenset(name.decode() for name in self._names[self._renewed].tolist())
