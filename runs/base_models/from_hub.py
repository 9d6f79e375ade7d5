"""A base model from the hub: downloaded, then imported like a folder."""

from runs.base_models.copying import Progressed, quietly
from runs.base_models.hub import Hub
from runs.base_models.importing import Imported, import_folder
from runs.base_models.naming import check_name, suggest_name
from runs.base_models.placing import Origin
from runs.services import Actor


def import_repository(
    repository: str,
    *,
    revision: str = "",
    name: str = "",
    hub: Hub | None = None,
    actor: Actor = None,
    progressed: Progressed = quietly,
) -> Imported:
    """Import a model of the hub at a revision (empty: its main branch); its commit is written down.

    Raises:
        InvalidInputError: when the model cannot be used, or may not be called so.
        NotFoundError: when there is no such repository or revision.
        ConflictError: when it is being downloaded, or its content is here under another name.
        UserError: when the hub cannot be reached or there is no room.
    """
    hub = hub or Hub()
    check_name(name or suggest_name(repository))
    listing = hub.look(repository, revision)
    with hub.download(listing, progressed=progressed) as folder:
        origin = Origin(repository, listing.commit, ours=True)
        imported = import_folder(folder, origin=origin, name=name, actor=actor, progressed=progressed)
    hub.forget(listing)
    return imported
