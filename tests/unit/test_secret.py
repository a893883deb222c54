"""What is masked of a URL."""

from __future__ import annotations

import pytest

from claudebench.telemetry.secret import without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock"),
        ("redis://:hunter2@h/0", "redis://:***@h/0"),
        ("postgresql://u:hunter2@h:5432/db?sslmode=require", "postgresql://u:***@h:5432/db?sslmode=require"),
        ("postgresql://u@h/db?password=hunter2", "postgresql://u@h/db?password=***"),
        ("postgresql://u@h/db?a=1&pass%77ord=hunt@er2&b=2", "postgresql://u@h/db?a=1&pass%77ord=***&b=2"),
        ("postgresql:///db?host=/run&user=u&sslpassword=hunter2", "postgresql:///db?host=/run&user=u&sslpassword=***"),
        ("postgresql:///db?user=u&password=hunt@er2", "postgresql:///db?user=u&password=***"),
        ("redis://u:hun?ter2@h/0", "redis://u:***@h/0"),
        ("none", "none"),
    ],
)
def test_secrets_of_a_url_are_masked(url: str, shown: str) -> None:
    """The password of a login and of the query are masked, however it is spelt; the rest is shown as it is."""
    assert without_secrets(url) == shown
