"""Exchange rates as the kernels read them."""

from collections.abc import Sequence

import numpy as np

from matching.domain.circumstances import Rates
from matching.engine.layout import CURRENCIES
from matching.engine.lexicon import Places, currencies

ALWAYS = 2**40
"""The day of a rate that never grows old."""


class Market:
    """The rates of an engine; all its fields share one. `number` gives each currency its number."""

    def __init__(self) -> None:
        self.currencies: Places[str] = currencies()
        self.rates: Rates = {}
        self.per_usd = np.ones(CURRENCIES, np.float64)
        self.day = np.zeros(CURRENCIES, np.int64)
        """Day number of the rate; 0: there is none."""
        self.set({})

    def know(self, currencies: Sequence[str]) -> None:
        """Have these numbered from 0 on, in place of what was numbered so far."""
        self.currencies = Places(CURRENCIES, currencies)
        self.set(self.rates)

    def set(self, rates: Rates) -> None:
        """These are the rates now. Lists are exact again once the needs concerned were given to `Field.change_needs` again."""
        self.rates = rates
        self.day[:] = 0
        for currency, rate in rates.items():
            number = self.currencies.number(currency)
            if number is not None:
                self.per_usd[number], self.day[number] = float(rate.per_usd), rate.as_of.toordinal()
        dollar = self.currencies.number("USD")
        if dollar is not None:
            self.per_usd[dollar], self.day[dollar] = 1.0, ALWAYS
