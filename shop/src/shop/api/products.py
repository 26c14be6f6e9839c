"""Routes of the catalogue."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from shop.api import pages
from shop.api.representations import represent_product
from shop.db import db
from shop.queries import products

blueprint = Blueprint("products", __name__, url_prefix="/products")


@blueprint.get("")
def list_products() -> Response:
    """A page of the catalogue."""
    return pages.respond(products.catalogue(), represent_product)


@blueprint.get(f"/<{pages.ID}:product_id>")
def show_product(product_id: int) -> Response:
    """One product."""
    product = db.one_or_404(products.product(product_id), description="There is no such product.")
    return jsonify(represent_product(product))
