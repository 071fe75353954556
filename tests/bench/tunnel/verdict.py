"""Rows for the machine, and for people the bars that our figures have to pass. A bar that is missed stays in sight."""

import link
import loads

BULK = [f"{kind}{flows}, {way}" for kind in ("", f"{link.WHOLE}: ") for flows in ("1 flow", "8 flows")
        for way in ("edge to home", "home to edge")]
CIPHER = "ChaCha20-Poly1305 alone"


def rows(ours, peers, floor):
    """One row for each metric and peer; those of processor time also against the cipher."""
    found = []
    for metric, (unit, value) in ours.items():
        if unit == "CPU-s/GB":
            found.append(row(metric, unit, value, floor, CIPHER))
        found += [row(metric, unit, value, peer[metric][1], name) for name, peer in peers.items() if metric in peer]
        if not any(metric in peer for peer in peers.values()):
            found.append(row(metric, unit, value, None, None))
    return found


def row(metric, unit, ours, peer, name):
    ratio = round(ours / peer, 3) if peer else None
    rounded = None if peer is None else round(peer, 3)
    return {"metric": metric, "unit": unit, "ours": round(ours, 3), "peer": rounded, "peer_name": name, "ratio": ratio}


def bars(ours, peers):
    """Each bar: (what it asks, whether it is passed, the figures)."""
    for metric in BULK:
        yield at_least(4, metric, ours, peers)
    for metric in BULK:
        for end in ("sender", "receiver"):
            yield at_most(0.25, f"{metric}, {end}", ours, peers)
    yield at_most(1, "idle ping, p50", ours, peers)
    yield limit(16, "peak RSS", ours)
    for flood in loads.FLOODS.values():
        yield limit(1, f"{flood}, a live flow's loss", ours)
    yield limit(5, f"{loads.FLOODS['initiation']}, until a restarted home is connected", ours)


def at_least(factor, metric, ours, peers):
    value, (name, best) = ours[metric][1], extreme(max, metric, peers)
    return f"{metric}: at least {factor} times the best peer", value >= factor * best, against(value, name, best)


def at_most(factor, metric, ours, peers):
    value, (name, best) = ours[metric][1], extreme(min, metric, peers)
    return f"{metric}: at most {factor} of the best peer", value <= factor * best, against(value, name, best)


def limit(most, metric, ours):
    unit, value = ours[metric]
    return f"{metric}: at most {most} {unit}", value <= most, f"{value:.2f}"


def extreme(choose, metric, peers):
    return choose(((name, peer[metric][1]) for name, peer in peers.items()), key=lambda found: found[1])


def against(value, name, best):
    return f"{value:.2f} to {best:.2f} of {name} ({value / best:.2f})"
