"""A KMS and a tagging API on real sockets, and keys in them, for what cleans up after runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
from moto.kms.models import kms_backends

from kms_fake import KmsFake, serving

REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "TESTING", "AWS_SECRET_ACCESS_KEY": "any"}


class Aws:
    """The two services; `variables` lead boto3 to them."""

    def __init__(self, kms_endpoint: str, tagging_endpoint: str) -> None:
        self.variables = {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_KMS": kms_endpoint,
            "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": tagging_endpoint,
            "AWS_CONFIG_FILE": "/nonexistent",
        }
        self.tagging_is_permitted = True
        self.asked: list[Mapping[str, Any]] = []
        """The requests of the tagging API."""
        self.kms: Any = boto3.client(
            "kms",
            region_name=REGION,
            endpoint_url=kms_endpoint,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def forget(self) -> None:
        """Be as new."""
        kms_backends.reset()
        self.tagging_is_permitted = True
        self.asked.clear()

    def key(self, **tags: str) -> str:
        """The ARN of a new key; `run` is the tag of a run."""
        names = {"run": "attested-kms:run"}
        given = [{"TagKey": names.get(name, name), "TagValue": v} for name, v in tags.items()]
        return str(self.kms.create_key(Tags=given)["KeyMetadata"]["Arn"])

    def state(self, arn: str) -> str:
        return str(self.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"])

    def resources(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """GetResources, one resource a page."""
        [wanted] = request["TagFilters"]
        found = [one for one in self._tagged() if _matches(one["Tags"], wanted)]
        number = int(request.get("PaginationToken") or 0)
        token = str(number + 1) if number + 1 < len(found) else ""
        return {"ResourceTagMappingList": found[number : number + 1], "PaginationToken": token}

    def _tagged(self) -> Iterator[dict[str, Any]]:
        for key in self.kms.list_keys()["Keys"]:
            tags = self.kms.list_resource_tags(KeyId=key["KeyArn"])["Tags"]
            told = [{"Key": one["TagKey"], "Value": one["TagValue"]} for one in tags]
            yield {"ResourceARN": key["KeyArn"], "Tags": told}


def _matches(tags: list[dict[str, str]], wanted: Mapping[str, Any]) -> bool:
    values = wanted.get("Values")
    return any(
        tag["Key"] == wanted["Key"] and (not values or tag["Value"] in values) for tag in tags
    )


@contextmanager
def aws() -> Iterator[Aws]:
    """The services while the context is open."""
    worlds: list[Aws] = []

    class Tagging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            [world] = worlds
            request = json.loads(body)
            world.asked.append(request)
            if world.tagging_is_permitted:
                status, answer = 200, world.resources(request)
            else:
                status, answer = 400, {"__type": "AccessDeniedException", "message": "not you"}
            told = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with (
        serving(KmsFake(roots=())) as kms,
        ThreadingHTTPServer(("127.0.0.1", 0), Tagging) as server,
    ):
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        world = Aws(kms.endpoint, f"http://127.0.0.1:{server.server_port}")
        worlds.append(world)
        try:
            yield world
        finally:
            world.kms.close()
            server.shutdown()
            thread.join()
