"""A base model is not deleted while what names it is being written."""

from runs.models import BaseModel
from training.bases import find_base, is_base
from training.errors import ConfigError
from tunix_site.errors import InvalidInputError


def keep_base(model: str) -> None:
    """Keep the base model of a recipe, if it names one, until the transaction ends; call it inside of one.

    Raises:
        InvalidInputError: when it is gone.
    """
    if not is_base(model):
        return
    try:
        content_hash = find_base(model).record.content_hash
        # A deletion moves the files first and asks for this row then. What is still there once we have
        # the row stays until our transaction ends; the deletion then sees the run.
        list(BaseModel.objects.select_for_update(no_key=True).filter(content_hash=content_hash).order_by())
        find_base(model)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
