"""Settings: options of the command line, then CLAUDEBENCH_* variables, then claudebench.toml, then defaults.

An unknown name is an error that offers the nearest known one, wherever it stands.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from platformdirs import user_config_path, user_data_path
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from claudebench.errors import SettingsError, nearest

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

FILE = "claudebench.toml"
PREFIX = "CLAUDEBENCH_"
SECRET_NAMES = frozenset({"token"})
CLIENT_NAMES = frozenset({"url", "token_file"})
DEFAULT = "default"
ENVIRONMENT = "env"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
BOUNDS = ("ge", "le", "min_length", "pattern")
WORKSPACE = r"^[a-z0-9-]{1,40}$"


class Settings(BaseSettings):
    """Everything that can be chosen at start; frozen."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="address to listen on; another than loopback needs a token")
    port: int = Field(7420, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(user_data_path("claudebench"), description="folder of the store, the lock and the token")
    redis_url: str | None = Field(None, description="an existing Redis or Valkey >= 7.0 instead of the embedded one")
    database_url: str | None = Field(
        None, description="the record's PostgreSQL, or none; without it SQLite beside an embedded store, else none"
    )
    workspace: str = Field("default", pattern=WORKSPACE, description="the workspace of plain paths")
    durability: Literal["everysec", "always"] = Field("everysec", description="how often the store syncs to disk")
    limits: Literal["on", "off"] = Field("on", description="the loop guard per caller and command")
    retain_days: int = Field(7, ge=1, le=3650, description="days that a finished task stays; at most 200,000 stay")
    max_memory: str | None = Field(None, description="bound of the embedded store, such as 512mb")
    max_sockets: int = Field(1000, ge=0, le=50_000, description="WebSockets and event streams open at once")
    hosts: str = Field("", description="further names, comma-separated, that the Host header may hold")
    rules: Path = Field(
        user_config_path("claudebench") / "rules.toml", description="file of the user's own guard rules"
    )
    audit_key: Path | None = Field(
        None, description="file of the audit's key, which servers of one store share; else audit.key in the data dir"
    )
    adopt_record: bool = Field(
        default=False, description="take a database for the record of a store that lost everything; for one start"
    )
    app: str = Field("", description="modules, comma-separated, whose handlers and hooks join this server")
    webhook_allow: str = Field(
        "", description="hosts and networks, comma-separated, that webhooks may reach besides the public Internet"
    )
    token: str | None = Field(None, min_length=16, description="bearer token that every call must carry")

    @field_validator("redis_url")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("name a store, or leave it out to use the one that comes with ClaudeBench")
        return value

    @field_validator("data_dir", "rules", "audit_key")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value == Path():
            raise ValueError("name a path")
        return value and value.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources; the file is read by `load`, which can name its unknown keys."""
        return (init_settings, env_settings)

    @property
    def audit_key_path(self) -> Path:
        """Where the audit's key is."""
        return self.audit_key or self.data_dir / "audit.key"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK


def load(**options: Any) -> Settings:
    """Return the settings in force; options that are None count as not given.

    Raises:
        SettingsError: a name is unknown or a value does not fit; the message names it and what to type.
    """
    given = {name: value for name, value in options.items() if value is not None}
    from_file = _file_settings()
    _check_environment()
    in_environment = _in_environment()
    below = {name: value for name, value in from_file.items() if name not in in_environment}
    try:
        settings = Settings(**{**below, **given})
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    if not settings.is_loopback and not settings.token:
        raise SettingsError(
            f"{settings.host} can be reached by other machines; set {PREFIX}TOKEN to at least 16 characters first"
        )
    return settings


def sources() -> dict[str, str]:
    """Return where each setting comes from when no option is given: `env`, `claudebench.toml` or `default`."""
    in_file, in_environment = _file_settings(), _in_environment()
    return {
        name: ENVIRONMENT if name in in_environment else FILE if name in in_file else DEFAULT
        for name in Settings.model_fields
    }


def _in_environment() -> set[str]:
    """Return the names that the environment sets; an empty variable sets nothing."""
    return {
        name.removeprefix(PREFIX).lower() for name, value in os.environ.items() if name.startswith(PREFIX) and value
    }


def _file_settings() -> dict[str, Any]:
    path = Path(FILE)
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    _check_names(found, str(path))
    return found


def _check_environment() -> None:
    names = {name.removeprefix(PREFIX).lower() for name in os.environ if name.startswith(PREFIX)}
    _check_names(names - CLIENT_NAMES, "the environment", prefix=PREFIX)


def _check_names(names: Any, where: str, prefix: str = "") -> None:
    for name in names:
        if name not in Settings.model_fields:
            near = nearest(name, Settings.model_fields)
            shown, offer = (name.upper(), near and near.upper()) if prefix else (name, near)
            hint = f"; did you mean {prefix}{offer}?" if offer else ""
            raise SettingsError(f"{where} sets {prefix}{shown}, which is no setting{hint}")


def _sentence(error: ValidationError) -> str:
    issue = error.errors()[0]
    name = ".".join(map(str, issue["loc"]))
    shown = "what it is" if name in SECRET_NAMES else repr(_typed(issue["input"]))
    field = Settings.model_fields.get(name)
    return f"{name} cannot be {shown}: {(field and _wanted(field)) or issue['msg'].removeprefix('Value error, ')}"


def _typed(value: Any) -> Any:
    """Return a value as it was typed; an empty path reads as `.`."""
    return ("" if value == Path() else str(value)) if isinstance(value, Path) else value


def _wanted(field: FieldInfo) -> str:
    """Return what a setting takes, '' where the validator says it."""
    if choices := [each for each in get_args(field.annotation) if isinstance(each, str)]:
        return f"it is {' or '.join(choices)}"
    bounds = {name: getattr(each, name) for each in field.metadata for name in BOUNDS if hasattr(each, name)}
    if "ge" in bounds:
        return f"it is a whole number from {bounds['ge']} to {bounds['le']}"
    if "min_length" in bounds:
        return f"it has {bounds['min_length']} characters at least"
    return "it has 1 to 40 of a-z, 0-9 and -" if "pattern" in bounds else ""
