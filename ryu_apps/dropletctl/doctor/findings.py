"""What more than one check needs: making a finding, and whether answers have a way. Pure."""

from ryu_apps.dropletctl.doctor.values import Facts, Finding, Weight


def fault(check: str, what: str, why: str, *mend: str) -> Finding:
    """Something that keeps droplets from their metadata."""
    return Finding(check, Weight.FAULT, what, why, mend)


def warning(check: str, what: str, why: str, *mend: str) -> Finding:
    """Something that may."""
    return Finding(check, Weight.WARNING, what, why, mend)


def has_way(facts: Facts) -> bool:
    """Whether host-setup has nothing to say of the way that answers take."""
    missing = {"route", "rule", "link", "address", "port"} & {step.key for step in facts.steps}
    return not facts.obstacles and not missing


def way_is_whole(facts: Facts) -> bool:
    """Whether an answer leaves by meta0 as well."""
    return has_way(facts) and facts.host.reply_device == facts.wanted.port


def lacks_port(facts: Facts) -> bool:
    """Whether the bridge has no meta0; all that it should be is then one thing to say."""
    return any(step.key == "port" and step.now is None for step in facts.steps)
