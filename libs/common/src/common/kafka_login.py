"""As whom we speak to Kafka, and what each client library wants to be told of it."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

_KINDS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


@dataclass(frozen=True)
class KafkaLogin:
    """Without a user we are nobody in particular. With `tls` the broker has to prove who it is, to the system's authorities or to
    those in the file `authorities`."""

    user: str = ""
    password: str = field(default="", repr=False)
    mechanism: str = "SCRAM-SHA-512"
    tls: bool = False
    authorities: Path | None = None

    @property
    def _protocol(self) -> str:
        return ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")

    def _trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.authorities) if self.tls else None

    def for_aiokafka(self) -> dict[str, Any]:
        """Arguments of aiokafka's client, consumer and producer."""
        said: dict[str, Any] = {"security_protocol": self._protocol, "ssl_context": self._trust()}
        if self.user:
            said |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return said

    def for_faststream(self) -> BaseSecurity | None:
        """The `security` of FastStream's broker."""
        if self.user:
            return _KINDS[self.mechanism](self.user, self.password, ssl_context=self._trust(), use_ssl=self.tls)
        return BaseSecurity(ssl_context=self._trust(), use_ssl=True) if self.tls else None

    def for_librdkafka(self) -> dict[str, str]:
        """The configuration of confluent-kafka's clients."""
        said = {"security.protocol": self._protocol}
        if self.user:
            said |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self.password}
        if self.authorities:
            said["ssl.ca.location"] = str(self.authorities)
        return said


NOBODY = KafkaLogin()
