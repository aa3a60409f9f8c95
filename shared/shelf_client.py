"""The part of the API's typed client that is about the personal-model shelf."""

from pathlib import Path
from uuid import UUID

import httpx

from shared.shelf import ShelfDeleted, ShelfItem, ShelfPut, ShelfUpload, ShelfView
from shared.transport import Transport, contents, read


class Shelf(Transport):
    """A client's personal models on the server. Every method raises ApiError."""

    def shelf(self, job: UUID | str) -> ShelfView:
        """What lies on a job's shelf: for a client its own, for operators how large each is."""
        return self._send(ShelfView, "GET", f"/v1/jobs/{job}/shelf")

    def put_on_shelf(self, job: UUID | str, put: ShelfPut, path: Path) -> ShelfUpload:
        """Put the file there; it takes the place of the one before, once it is there whole.

        Goes on where an earlier try ended.
        """

        def send() -> httpx.Response:
            announced = self._request("POST", f"/v1/jobs/{job}/shelf", body=put)
            view = read(ShelfUpload, announced)
            return announced if view.complete else self._patch_shelf(job, view, path)

        return read(ShelfUpload, self._repeat(send))

    def _patch_shelf(self, job: UUID | str, view: ShelfUpload, path: Path) -> httpx.Response:
        headers = {
            "Upload-Offset": str(view.offset),
            "Content-Length": str(view.n_bytes - view.offset),
        }
        content = contents([path], view.offset)
        address = f"/v1/jobs/{job}/shelf/{view.id}"
        return self._http.patch(address, content=content, headers=headers)

    def get_from_shelf(self, job: UUID | str, item: ShelfItem, path: Path) -> None:
        """Append to the file what it lacks of the item's bytes, after breaks too.

        Nobody has looked at them yet: compare the file's hash.
        """

        def fetch() -> httpx.Response:
            there = path.stat().st_size if path.exists() else 0
            headers = {"Range": f"bytes={there}-"}
            address = f"/v1/jobs/{job}/shelf/{item.id}"
            with self._http.stream("GET", address, headers=headers) as response:
                if not response.is_success:
                    response.read()
                    return response
                with path.open("ab") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                return response

        if not path.exists() or path.stat().st_size < item.n_bytes:
            self._repeat(fetch)

    def clear_shelf(self, job: UUID | str) -> ShelfDeleted:
        """Delete the calling client's model from a job's shelf, or for an operator all of them."""
        return self._send(ShelfDeleted, "DELETE", f"/v1/jobs/{job}/shelf")
