"""What the examples have in common."""

from typing import Any

Example = dict[str, Any]

JOB_ID = "4e0c1b5e-3a36-4f0b-9d6e-0f6b2f6d7c11"
PARENT_ID = "7b9a2c4d-6e1f-4a3b-8c5d-9e0f1a2b3c55"
FORK_ID = "9d8e7f6a-5b4c-4d3e-a2f1-0b1c2d3e4f66"
ASSIGNMENT_ID = "b1f6f0a2-7f0f-4f6f-8a37-3d6b1a0e9c22"
LEASE_ID = "5d4c3b2a-1f0e-4d9c-8b7a-6f5e4d3c2b33"
DRY_RUN_ID = "6a5b4c3d-2e1f-4a0b-9c8d-7e6f5a4b3c77"
UPLOAD_ID = "0a1b2c3d-4e5f-4a6b-9c8d-7e6f5a4b3c44"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
AT = "2026-01-31T12:00:00Z"
