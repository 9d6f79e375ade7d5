"""Uploads by forms: counted while they arrive, whatever their length was said to be."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

from datasets_app.imports.limits import MIB, Limits


class QuotaUploadHandler(FileUploadHandler):
    """Stops an upload that is larger than an import may be; else lets every byte pass."""

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self.seen = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Count a piece and pass it on."""
        self.seen += len(raw_data)
        most = Limits.of_settings().total_bytes
        if self.seen > most:
            raise RequestDataTooBig(f"The upload is larger than {most // MIB} MiB.")
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Leave the making of the file to the handlers that follow."""
