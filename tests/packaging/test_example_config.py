"""packaging/ovs-metadata.conf: every option once, and as it stands the defaults and what is set."""

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest
from oslo_config import cfg

import metadata_http.settings
import ryu_apps.settings

EXAMPLE = Path(__file__).parents[2] / "packaging" / "ovs-metadata.conf"
SET = {
    "tokens_file": Path("/var/lib/metadata-http/token"),
    "snapshot_file": Path("/var/lib/metadata-http/snapshot"),
}


def controllers(*files: Path) -> ryu_apps.settings.Settings:
    conf = cfg.ConfigOpts()
    conf(args=[], default_config_files=[str(file) for file in files], default_config_dirs=[])
    return ryu_apps.settings.read_settings(conf)


@pytest.mark.parametrize(
    "options", [ryu_apps.settings.OPTIONS, metadata_http.settings.OPTIONS], ids=["both", "server"]
)
def test_every_option_is_in_it_once(options: list[cfg.Opt]):
    text = EXAMPLE.read_text(encoding="utf-8")
    group = "metadata" if options is ryu_apps.settings.OPTIONS else "metadata_http"
    section = text.split(f"\n[{group}]\n")[1].split("\n[")[0]
    names = Counter(re.findall(r"^#?(\w+) =", section, re.MULTILINE))
    assert names == Counter(option.name for option in options)


def test_as_it_stands_it_is_the_defaults_and_what_is_set():
    assert controllers(EXAMPLE) == controllers()
    found, default = metadata_http.settings.load(EXAMPLE), metadata_http.settings.load(None)
    differ = {
        field.name: getattr(found, field.name)
        for field in fields(found)
        if getattr(found, field.name) != getattr(default, field.name)
    }
    assert differ == SET


def test_with_every_comment_mark_taken_away_it_is_the_defaults_still(tmp_path: Path):
    """So what is written there as the default is it, and can be read."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    shown = [re.sub(r"^#(\w+ = )", r"\1", line) for line in lines]
    file = tmp_path / "all.conf"
    file.write_text("\n".join(shown) + "\n")
    assert controllers(file) == controllers()
    found, default = metadata_http.settings.load(file), metadata_http.settings.load(None)
    for field in fields(found):
        if field.name not in SET:
            assert getattr(found, field.name) == getattr(default, field.name), field.name
