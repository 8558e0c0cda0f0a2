"""What `musubi doctor` looks at beside broker, databases and settings: mail server, provider, services, zones of the world."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx

from common.access.oidc import NotIdentified, Provider
from common.clock import Clock
from common.settings import Settings, Unconfigured
from musubi import places, status
from musubi.doctor_findings import ANSWER_SECONDS, Finding, failed, left_out, well
from musubi.doctor_reach import in_thread, trouble_with_name
from notify import offices, smtp
from notify.settings import NotifySettings

_NOT_OF_MAIL = {name: field.get_default() for name, field in Settings.model_fields.items()} | {"postgres": "", "kafka": ""}
_NOT_OF_SIGN_IN = {name: value for name, value in _NOT_OF_MAIL.items() if not name.startswith("oidc_")}


async def mail(folder: Path) -> Sequence[Finding]:
    """Does the mail server answer, and take our sign-in? No mail is sent."""
    try:
        settings = NotifySettings.read(**_NOT_OF_MAIL, mail_folder=folder / "mails")
    except Unconfigured:
        return [left_out("mail", "one of its settings is wrong")]
    if not settings.smtp_host:
        return [well("mail", "no mail server is named here (MUSUBI_SMTP_HOST): mails become files")]
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    if trouble := await trouble_with_name(settings.smtp_host):
        return [failed("mail", trouble, "put the right name into MUSUBI_SMTP_HOST")]
    async with smtp.connected(settings.model_copy(update={"smtp_timeout": ANSWER_SECONDS})) as server:
        if not isinstance(server, smtp.Later):
            return [well("mail", f"{where} answers{' and knows us' if settings.smtp_user else ''}; no mail was sent")]
    return [failed("mail", f"{where}: {server.answer}", _fix_for(server.answer))]


def _fix_for(answer: str) -> str:
    kind = answer.partition(":")[0]
    if "Authentication" in kind:
        return "put the right name and password into MUSUBI_SMTP_USER and MUSUBI_SMTP_PASSWORD"
    if "Timeout" in kind or "TLS" in answer or "SSL" in answer:
        return "let no firewall stand between, let MUSUBI_SMTP_PORT and MUSUBI_SMTP_TLS fit (465 with TLS; 587 and 25 without)"
    return "start the mail server, and see that MUSUBI_SMTP_HOST and MUSUBI_SMTP_PORT name it"


async def sign_in(clock: Clock) -> Sequence[Finding]:
    """Does the provider answer at which people sign in, and call itself as it is called here? Nobody is signed in."""
    try:
        settings = Settings.read(**_NOT_OF_SIGN_IN)
    except Unconfigured:
        return [left_out("sign-in", "one of its settings is wrong")]
    if not settings.oidc_issuer:
        return [left_out("sign-in", "no provider is named here (MUSUBI_OIDC_ISSUER)")]
    host = urlsplit(settings.oidc_internal or settings.oidc_issuer).hostname or ""
    proxied = getproxies().keys() - {"no"}  # then names are looked up there
    if not proxied and (trouble := await trouble_with_name(host)):
        return [failed("sign-in", trouble, "put the right name into MUSUBI_OIDC_ISSUER, or into MUSUBI_OIDC_INTERNAL")]
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await Provider(settings, clock).check()
    except TimeoutError:
        why = "it does not answer"
    except NotIdentified as error:
        why = f"{error.why}: {error.__cause__}" if isinstance(error.__cause__, httpx.ConnectError) else error.why
    else:
        return [well("sign-in", f"{settings.oidc_issuer} answers by this name; nobody was signed in")]
    fix = "put what it calls itself into MUSUBI_OIDC_ISSUER, and let it be reached from here, by MUSUBI_OIDC_INTERNAL if need be"
    return [failed("sign-in", f"{settings.oidc_issuer}: {why}", fix)]


async def services(running: str, names: Iterable[str]) -> Sequence[Finding]:
    """What each service says of itself: where the environment says that it answers, else in the Musubi that runs at this address,
    if any does."""
    return await asyncio.gather(*(_service(name, places.service_said(name), running) for name in names))


async def _service(name: str, said: str, running: str) -> Finding:
    if not (address := said or running):
        why = "not started here by `musubi up`, and no variable says where they answer (MUSUBI_URL_NEEDS and so on)"
        return left_out("services", why, of=name)
    try:
        async with asyncio.timeout(ANSWER_SECONDS + 0.5):
            parts = await in_thread(lambda: status.readiness(address, name))
    except (TimeoutError, httpx.InvalidURL):
        parts = {}
    match parts:
        case {"status": "ready"}:
            return well("services", "ready", of=name)
        case {"status": "not ready"}:
            told = " ".join(" ".join(status.in_words("", parts)).split())
            return failed("services", told, "mend what it waits for; its log says more", of=name)
    fix = f"start it, and see that {places.service_variable(name)} names it" if said else "look into its log, and start it again"
    return failed("services", f"{address} does not answer as a service does", fix, of=name)


def of_no_use_yet() -> Sequence[Finding]:
    """What Musubi does not stand on, though one might think so."""
    return [
        left_out("holiday years", "no rule counts public holidays: Monday to Friday are working days everywhere"),
        left_out("fonts", "nothing is drawn here: browsers draw pages and charts, with fonts of their own"),
    ]


async def zones() -> Sequence[Finding]:
    """Has this machine the time zones in which offices read their mails?"""
    return unknown_zones({office.timezone for office in offices.offices().recipients.values()} | {offices.SECRETARIAT.timezone})


def unknown_zones(wanted: Iterable[str]) -> list[Finding]:
    """A finding on all of these."""
    wanted, unknown = sorted(wanted), []
    for zone in wanted:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            unknown.append(zone)
    if unknown:
        fix = "install the package tzdata, of the system or of Python, in a version that has them"
        return [failed("time zones", f"not known here: {', '.join(unknown)}", fix)]
    return [well("time zones", f"all {len(wanted)} of the offices are known")]
