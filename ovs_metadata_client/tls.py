"""What https needs of files: whom to trust, and what to show to a controller that asks."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ovs_metadata_client.errors import BadTlsFile

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: authorities instead of the system's, and a certificate with its key."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    def context(self) -> "ssl.SSLContext":
        """A context that checks certificate and host name. Raises `BadTlsFile`."""
        # Imported here: most calls speak plain HTTP to this host.
        import ssl

        context = ssl.create_default_context()
        file = self.ca_file
        try:
            if file is not None:
                context = ssl.create_default_context(cafile=file)
            file = self.client_cert or self.client_key
            if file is not None:
                # An empty password, for the library asks for one on the terminal otherwise.
                context.load_cert_chain(file, self.client_key, password="")
        except OSError as error:  # ssl.SSLError is one.
            raise BadTlsFile(str(file), error.strerror or str(error)) from error
        return context
