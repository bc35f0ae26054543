"""The orders by name, for the public functions."""

from collections.abc import Callable

from clever.bounds.first_order import FirstOrder, Order
from clever.bounds.gauge.order import Gauge
from clever.bounds.second_order import SecondOrder
from clever.errors import InputError

ORDERS: dict[str, Callable[[], Order]] = {"first_order": FirstOrder, "second_order": SecondOrder, "gauge": Gauge}


def parse_order(order: Order | str) -> Order:
    """The order with this name and default parameters, or the order itself; `InputError` for anything else."""
    if isinstance(order, str) and order.lower() in ORDERS:
        return ORDERS[order.lower()]()
    if isinstance(order, str | type) or not all(hasattr(order, name) for name in ("check", "measure", "bound")):
        raise InputError(
            f"unknown order {order!r}: it must be one of {', '.join(ORDERS)}, or an object such as "
            "clever.SecondOrder(seed=7)"
        )
    return order
