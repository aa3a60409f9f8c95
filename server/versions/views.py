"""Versions as operators read them."""

from collections import defaultdict

from sqlalchemy.orm import Session

from server.tables import Version
from server.versions import repository
from shared.views import ContributionView, ManifestEntry, VersionView


def version_view(session: Session, version: Version) -> VersionView:
    """A version with its manifest: each artifact, and the shares of those who made it."""
    entries = repository.entries(session, version.job_id, version.number)
    made_in = {entry.made_in for entry in entries}
    shares: defaultdict[tuple[int, str], list[ContributionView]] = defaultdict(list)
    for made, row in repository.contributions(session, version.job_id, made_in):
        share = ContributionView(client=row.client_id, weight=row.weight)
        shares[made, row.component].append(share)
    return VersionView(
        number=version.number,
        round=version.number,
        created_at=version.created_at,
        manifest={
            e.component: ManifestEntry(
                sha256=e.sha256,
                n_bytes=e.n_bytes,
                made_in=e.made_in,
                relative_error=e.relative_error,
                contributions=tuple(shares[e.made_in, e.component]),
            )
            for e in entries
        },
    )
