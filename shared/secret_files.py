"""Secrets from files, as container engines lay them down: NAME_FILE says where NAME's value is."""

from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

SECRETS = (
    "TAPESTRY_DATABASE_URL",
    "TAPESTRY_DATABASE_PASSWORD",
    "TAPESTRY_REDIS_URL",
    "TAPESTRY_REDIS_PASSWORD",
    "TAPESTRY_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


def from_files(environment: MutableMapping[str, str]) -> None:
    """Put each secret that is in a file where those are that are not; what is empty is not given.

    Raises ValueError for a file that is missing or empty, and where the secret is given twice.
    """
    for name in SECRETS:
        path = environment.pop(file_of(name), "")
        if path and environment.get(name):
            raise ValueError(f"{name} and {file_of(name)} are both set: leave one of them out")
        if path:
            environment[name] = _secret(file_of(name), Path(path))


def file_of(name: str) -> str:
    """The variable that names a secret's file."""
    return f"{name}_FILE"


def _secret(variable: str, path: Path) -> str:
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise ValueError(f"{variable}: {path} cannot be read ({why}): correct it") from error
    if not found:
        raise ValueError(f"{variable}: {path} is empty: put the secret there")
    return found


def with_password(url: str, password: SecretStr | None) -> str:
    """The address with a password that is kept apart from it. Raises ValueError for a second."""
    secret = password.get_secret_value() if password else ""
    if not secret:
        return url
    parts = urlsplit(url)
    if parts.password is not None:
        raise ValueError("has a password already: give it once")
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username or ''}:{quote(secret, safe='')}"
    return parts._replace(netloc=f"{user}@{host}").geturl()
