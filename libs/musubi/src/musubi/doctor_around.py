"""What `musubi doctor` looks at beside broker and databases: settings, the mail server, the services, the zones of the world."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from common.settings import Unconfigured
from musubi import status
from musubi.doctor_findings import ANSWER_SECONDS, Finding, failed, left_out, well
from musubi.doctor_reach import in_thread, trouble_with_name
from notify import offices, smtp
from notify.settings import NotifySettings


async def mail(folder: Path) -> Sequence[Finding]:
    """Does the mail server answer, and take our sign-in? No mail is sent. Also whether the settings here can be read at all."""
    try:
        settings = NotifySettings.read(postgres="", kafka="", mail_folder=folder / "mails")
    except Unconfigured as error:
        return [_wrong_setting(line) for line in str(error).splitlines()]
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


def _wrong_setting(line: str) -> Finding:
    found, _, fix = line.partition(". ")
    return failed("settings", found, fix[:1].lower() + fix[1:].rstrip("."))


async def services(address: str, names: Collection[str]) -> Sequence[Finding]:
    """What the services say of themselves that run at this address; "" where none were started here."""
    if not address:
        return [left_out("services", "not started here by `musubi up`; each answers /api/<service>/readyz where it runs")]
    found = []
    for name in names:
        parts = await in_thread(lambda name=name: status.readiness(address, name))
        if parts["status"] == "ready":
            found.append(well("services", "ready", of=name))
        else:
            told = " ".join(" ".join(status.in_words("", parts)).split())
            found.append(failed("services", told, "mend what it waits for; its log says more", of=name))
    return found


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
