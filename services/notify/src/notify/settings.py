"""What notify must be told from outside beyond what every service is told: how mail leaves, and in whose name."""

from email.utils import parseaddr
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from common.settings import Settings


class NotifySettings(Settings):
    """Where no mail server is named, mails are written as files into `mail_folder`, and a page shows them."""

    smtp_host: str | None = Field(default=None, description="the mail server; without it, mails are written into a folder")
    smtp_port: int = Field(default=25, ge=1, le=65_535, description="the mail server's port")
    smtp_tls: bool = Field(
        default=False,
        description="whether to speak TLS from the first byte (port 465), true or false; else it is begun where offered, and "
        "required with a name",
    )
    smtp_user: str | None = Field(default=None, description="the name to sign in to the mail server with")
    smtp_password: SecretStr | None = Field(default=None, description="the password that goes with it")
    smtp_timeout: float = Field(
        default=30, gt=0, le=300, description="seconds, up to 300, to wait for each answer of the mail server"
    )
    mail_from: str = Field(default="Musubi <notify@musubi.example>", description="whom mails come from, with its address")
    mail_unsubscribe: str | None = Field(
        default=None, description="an address that really takes requests to stop, if there is one"
    )
    mail_folder: Path = Field(default=Path("mails"), description="the folder for mails where no mail server is named")

    @field_validator("mail_from")
    @classmethod
    def _has_an_address(cls, value: str) -> str:
        if "@" not in parseaddr(value)[1] or any(c in value for c in "\r\n\0"):
            raise ValueError("it needs an address, such as Musubi <notify@musubi.example>")
        return value
