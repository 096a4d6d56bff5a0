"""The definitions of a name: which bindings and changes may be in force where it is read."""

from __future__ import annotations

from dataclasses import dataclass

from .scopes import LOOP, Binding, Change, Place, Scope


@dataclass(frozen=True, slots=True)
class Definitions:
    """The bindings of a name or an attribute, the changes of its value, and the place of a read.

    Without a place it is read from another function or file, and any event may have happened.
    `binding_scope` is the scope of the name; events in other scopes may have happened at any time.
    """

    bindings: list[Binding]
    changes: list[Change]
    place: Place | None
    binding_scope: Scope | None = None

    def reaching(self) -> tuple[list[Binding], bool]:
        """Return the bindings that may be in force, and whether one of them always is."""
        found: list[Binding] = []
        whole = False
        for one in self.events():
            if isinstance(one, Binding):
                if self.is_sure(one):
                    found, whole = [], True
                found.append(one)
        return found, whole

    def events(self) -> list[Binding | Change]:
        """Return the events that may have happened, in order.

        Events that come later in a common loop belong to its previous round.
        """
        every: list[Binding | Change] = [*self.bindings, *self.changes]
        happened = [one for one in every if self._is_before(one)]
        return sorted(happened, key=lambda one: (self._is_in_other_scope(one), self._order(one)))

    def is_sure(self, event: Binding | Change) -> bool:
        """Return whether an event must have happened."""
        if self._is_in_other_scope(event) or (isinstance(event, Change) and not event.sure):
            return False
        if self.place is not None:
            return event.place.order < self.place.order and self.place.always_follows(event.place)
        return not event.place.branch

    def _is_in_other_scope(self, event: Binding | Change) -> bool:
        return event.scope is not (self.binding_scope or self.bindings[0].scope)

    def _is_before(self, event: Binding | Change) -> bool:
        if self.place is None or self._is_in_other_scope(event):
            return True
        if event.place.excludes(self.place):
            return False
        order = event.place.order
        return order < self.place.order or (
            order > self.place.order and self._loop(event) is not None
        )

    def _order(self, event: Binding | Change) -> float:
        if (
            self.place is None
            or self._is_in_other_scope(event)
            or event.place.order < self.place.order
        ):
            return event.place.order
        return (self._loop(event) or 0) + 0.5

    def _loop(self, event: Binding | Change) -> int | None:
        """Return the order at which the innermost loop of both event and place begins, or None."""
        assert self.place is not None
        both = [
            arm
            for arm in event.place.branch
            if arm in self.place.branch and arm[1].startswith(LOOP)
        ]
        return int(both[-1][1].removeprefix(LOOP)) if both else None
