"""How a match's figures are said to somebody who has to decide: price against budget, delivery against the time that is left."""

from datetime import date

from common.contracts.matching import FacetScore, Match, NeedSummary
from common.formats import Formats
from notify.domain.recipients import company_names


def headline(need: NeedSummary, f: Formats) -> str:
    """City and title; the city is not said twice where the title already has it."""
    city, title = f.pick(need.municipality.names), f.pick(need.title)
    if city.casefold() in title.casefold():
        return title
    return f.t(en="{city}, {title}", ja="{city} {title}", city=city, title=title)


def product(match: Match, f: Formats) -> str:
    """Company and product, with the word that marks an invented company."""
    company = f.pick(company_names(match.company.names, example=match.company.example))
    return f.t(en="{company}, {offering}", ja="{company} {offering}", company=company, offering=f.pick(match.offering))


def price(need: NeedSummary, match: Match, f: Formats) -> str | None:
    """`USD 180 per lamp, USD 648,000 in all (price tier 3 of 4), 8% below the budget of …`; None where no price is known."""
    if match.price is None:
        return None
    p = match.price
    said = f.t(
        en="{each} per {unit}, {total} in all (price tier {tier} of {tiers})",
        ja="{one}あたり{each}、総額{total}（価格の段階 {tiers}段階中{tier}）",
        each=f.money(p.unit_price),
        total=f.money(p.total),
        unit=f.unit(1, need.unit),
        one=f.quantity(1, need.unit),
        tier=p.tier,
        tiers=p.tiers,
    )
    against = _against_budget(need, match, f)
    return said + (f.t(en=", {x}", ja="、{x}", x=against) if against else "")


def _against_budget(need: NeedSummary, match: Match, f: Formats) -> str | None:
    budget = need.budget
    if budget is None or match.price is None or budget.currency != match.price.total.currency or not budget.amount:
        return None
    below = budget.amount - match.price.total.amount
    share = int(abs(below) * 100 / budget.amount)  # whole percent, rounded down, as the price facet says it
    if share == 0:
        return f.t(en="about the budget of {budget}", ja="予算{budget}と同程度", budget=f.money(budget))
    return f.t(
        en="{share} {side} the budget of {budget}",
        ja="予算{budget}より{share}{side}",
        share=f.percent(share),
        side=f.t(en="below", ja="低い額") if below > 0 else f.t(en="above", ja="高い額"),
        budget=f.money(budget),
    )


def delivery(need: NeedSummary, match: Match, today: date, f: Formats) -> str:
    """`120 days (141 days remain until Wed 14 April 2027)`; says so where the lead time is not known."""
    values = {
        "left": f.days(max((need.deadline - today).days, 0)),
        "until": f.day(need.deadline),
        "lead": f.days(match.lead_time_days) if match.lead_time_days is not None else "",
    }
    if match.lead_time_days is None:
        return f.t(en="time not stated ({left} remain until {until})", ja="日数の記載なし（納期 {until}まで{left}）", **values)
    return f.t(en="{lead} ({left} remain until {until})", ja="{lead}（納期 {until}まで{left}）", **values)


def fitting(match: Match) -> list[FacetScore]:
    """The facets that earned all their points."""
    return [facet for facet in match.facets if facet.possible and facet.earned >= facet.possible]


def lacking(match: Match) -> list[FacetScore]:
    """The facets that lost points, the greatest loss first."""
    lost = [facet for facet in match.facets if facet.earned < facet.possible]
    return sorted(lost, key=lambda facet: facet.earned - facet.possible)
