"""The body and the header of a new order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import BadRequest, UnprocessableEntity, UnsupportedMediaType

from shop.api.refusals import Fault, Refusal
from shop.services.placing.submission import Line

KEY_LENGTH = 255
MOST_LINES = 100
MOST_PIECES = 10_000

Id = Annotated[int, Field(ge=1, le=2_147_483_647)]


class _Form(BaseModel):
    """Nothing unknown is let through, and "3" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ItemForm(_Form):
    """A line of a new order."""

    product_id: Id
    quantity: Annotated[int, Field(ge=1, le=MOST_PIECES)]


class OrderForm(_Form):
    """A new order."""

    user_id: Id
    items: Annotated[list[ItemForm], Field(min_length=1, max_length=MOST_LINES)]

    def lines(self) -> list[Line]:
        """The items, as the service takes them."""
        return [Line(item.product_id, item.quantity) for item in self.items]

    def item_of(self, product_id: int) -> int:
        """The place of a product's line in the list, from 0."""
        return [item.product_id for item in self.items].index(product_id)


def read_order() -> OrderForm:
    """The order in the request's body.

    :raises Refusal: 400 where it is not JSON, 415 where it does not claim to be, and 422 with a
        pointer to each fault.
    """
    if not request.is_json:
        raise Refusal(UnsupportedMediaType("Send the order as application/json."))
    try:
        form = OrderForm.model_validate_json(request.get_data())
    except ValidationError as error:
        raise _refusal(error) from error
    if faults := _repeated(form):
        raise Refusal(UnprocessableEntity(_NOT_AN_ORDER), faults)
    return form


def read_key() -> str:
    """The request's idempotency key.

    :raises Refusal: 400 where there is none, or one that is no key.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not (0 < len(key) <= KEY_LENGTH and key.isascii() and key.isprintable()):
        raise Refusal(
            BadRequest(
                "Send an Idempotency-Key header, 1 to 255 printable ASCII characters, new for each"
                " order and the same when you send that order again."
            )
        )
    return key


_NOT_AN_ORDER = "The order can't be read: see errors."


def _refusal(error: ValidationError) -> Refusal:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        return Refusal(BadRequest("The body is not JSON."))
    faults = [Fault(pointer(one["loc"]), one["msg"]) for one in errors]
    return Refusal(UnprocessableEntity(_NOT_AN_ORDER), faults)


def _repeated(form: OrderForm) -> list[Fault]:
    """A product in two lines: which quantity is meant, theirs or the sum, nobody can tell."""
    return [
        Fault(pointer(("items", index, "product_id")), "The product stands in an earlier item too.")
        for index, item in enumerate(form.items)
        if form.item_of(item.product_id) != index
    ]


def pointer(location: Sequence[Any]) -> str:
    """A JSON pointer in a URI fragment (RFC 6901, section 6)."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in location]
    return "#" + "".join(f"/{quote(step, safe='~')}" for step in steps)
