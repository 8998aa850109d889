"""What moto 5.2.5 lacks for the target, in AWS's own shapes, for the one instance of a world.

Sources, documented: "SimulatePrincipalPolicy" (IAM API Reference), "DescribeInstances" and
"DescribeInstanceTypes" (EC2 API Reference), "GetResources" (Resource Groups Tagging API Reference).
moto has no SimulatePrincipalPolicy, knows no EnclaveOptions, and finds no KMS keys by their tags;
its EC2 takes seconds to be imported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.kms.models import kms_backends
from moto.utilities.utils import get_partition

from kms_fake.http_server import Answer
from simulator.machine.instance import Instance as Hardware
from simulator.parent_services.imds import Instance
from simulator.rehearsal import errors
from simulator.rehearsal.asked import Asked
from simulator.rehearsal.permissions import RolePolicy

_RESULTS_A_PAGE = 100
"""Of SimulatePrincipalPolicy, unless MaxItems says otherwise."""


@dataclass(frozen=True, slots=True)
class Account:
    """What there is in the world's account, beside keys."""

    instance: Instance
    hardware: Hardware
    policy: RolePolicy
    enclave_options: bool
    """Whether the instance was launched with EnclaveOptions.Enabled."""

    def answer(self, asked: Asked, request_id: str) -> Answer | None:
        """The answer; None where the KMS fake or moto has one."""
        operations: Mapping[tuple[str, str], Callable[[Asked, str], Answer]] = {
            ("iam", "SimulatePrincipalPolicy"): self._simulate,
            ("ec2", "DescribeInstances"): self._instances,
            ("ec2", "DescribeInstanceTypes"): self._instance_types,
            ("tagging", "GetResources"): self._resources,
        }
        found = operations.get((asked.service, asked.operation))
        if found is not None:
            return found(asked, request_id)
        if asked.service in ("ec2", "tagging"):
            text = f"{asked.operation} is not served here [attested-kms: real AWS has it]"
            code = "InvalidAction" if asked.service == "ec2" else "UnknownOperationException"
            return errors.error(asked.service, code, text, 400, request_id)
        return None

    def _simulate(self, asked: Asked, request_id: str) -> Answer:
        members = asked.members
        source = str(members.get("PolicySourceArn", ""))
        if ":sts:" in source:
            # newrelic/newrelic-lambda-cli, issue 96 (reported): of a role's session, not the role.
            text = f"Invalid Entity Arn: {source} does not clearly define entity type and name."
            return errors.error("iam", "InvalidInput", text, 400, request_id)
        if source != self.instance.role_arn:
            text = f"Entity {source} does not exist [attested-kms: real text unknown]"
            return errors.error("iam", "NoSuchEntity", text, 404, request_id)
        context = _context_entries(members)
        resources = members.get("ResourceArns") or ["*"]
        results: list[dict[str, object]] = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": self.policy.decide(action, resource, context).value,
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in members.get("ActionNames", [])
            for resource in resources
        ]
        first = int(members.get("Marker", 0))
        end = first + int(members.get("MaxItems", _RESULTS_A_PAGE))
        page: dict[str, object] = {
            "IsTruncated": end < len(results),
            "EvaluationResults": results[first:end],
        }
        if end < len(results):
            page["Marker"] = str(end)
        return errors.result("iam", asked.operation, page, request_id)

    def _instances(self, asked: Asked, request_id: str) -> Answer:
        wanted = asked.members.get("InstanceId", [])
        instance = self.instance
        unknown = [one for one in wanted if one != instance.instance_id]
        if asked.region != instance.region:
            unknown = wanted
        if unknown:
            text = f"The instance ID '{unknown[0]}' does not exist"
            return errors.error("ec2", "InvalidInstanceID.NotFound", text, 400, request_id)
        if str(asked.members.get("DryRun")).lower() == "true":
            text = "Request would have succeeded, but DryRun flag is set."
            return errors.error("ec2", "DryRunOperation", text, 412, request_id)
        if asked.region != instance.region:
            return errors.result("ec2", asked.operation, {"reservationSet": []}, request_id)
        reservation = {
            "reservationId": f"r-{instance.instance_id[2:]}",
            "ownerId": instance.account,
            "groupSet": [],
            "instancesSet": [self._described()],
        }
        return errors.result("ec2", asked.operation, {"reservationSet": [reservation]}, request_id)

    def _described(self) -> dict[str, object]:
        instance, hardware = self.instance, self.hardware
        profile = instance.role_arn.replace(":role/", ":instance-profile/")
        threads = hardware.threads_per_core
        return {
            "instanceId": instance.instance_id,
            "imageId": instance.image_id,
            "instanceState": {"code": 16, "name": "running"},
            "instanceType": instance.instance_type,
            "architecture": instance.architecture,
            "placement": {"availabilityZone": instance.zone, "tenancy": "default"},
            "privateIpAddress": instance.private_ip,
            "iamInstanceProfile": {"arn": profile, "id": "AIPA0A1B2C3D4E5F60718"},
            "cpuOptions": {"coreCount": hardware.vcpus // threads, "threadsPerCore": threads},
            "metadataOptions": {
                "state": "applied",
                "httpTokens": "required",
                "httpPutResponseHopLimit": 2,
                "httpEndpoint": "enabled",
            },
            "enclaveOptions": {"enabled": self.enclave_options},
        }

    def _instance_types(self, asked: Asked, request_id: str) -> Answer:
        """Of this instance's type alone."""
        hardware = self.hardware
        wanted = asked.members.get("InstanceType") or [hardware.type]
        if wanted != [hardware.type]:
            text = f"The following supplied instance types do not exist: [{', '.join(wanted)}]"
            return errors.error("ec2", "InvalidInstanceType", text, 400, request_id)
        described = {
            "instanceType": hardware.type,
            "vCpuInfo": {
                "defaultVCpus": hardware.vcpus,
                "defaultThreadsPerCore": hardware.threads_per_core,
            },
            "memoryInfo": {"sizeInMiB": hardware.memory_mib},
            "hypervisor": "nitro",
            "nitroEnclavesSupport": "supported",
        }
        members = {"instanceTypeSet": [described]}
        return errors.result("ec2", asked.operation, members, request_id)

    def _resources(self, asked: Asked, _: str) -> Answer:
        """Keys with tags, of any state: that those to be deleted are among them is inferred."""
        members = asked.members
        types = members.get("ResourceTypeFilters") or ["kms"]
        found = [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
            for arn, tags in sorted(_tagged_keys(self.instance.account, asked.region).items())
            if tags and _passes(tags, members.get("TagFilters", []))
        ]
        listed = found if {"kms", "kms:key"} & set(types) else []
        first = int(members.get("PaginationToken") or 0)
        end = first + int(members.get("ResourcesPerPage", 50))
        body = {
            "PaginationToken": str(end) if end < len(listed) else "",
            "ResourceTagMappingList": listed[first:end],
        }
        return Answer(200, json.dumps(body).encode(), {"Content-Type": errors.JSON})


def _context_entries(members: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """ContextEntries.member.N.ContextKeyName and .ContextKeyValues.member.M."""
    names: dict[str, str] = {}
    values: dict[str, Sequence[str]] = {}
    for name, value in members.items():
        if not name.startswith("ContextEntries.member."):
            continue
        index, _, member = name.removeprefix("ContextEntries.member.").partition(".")
        if member == "ContextKeyName":
            names[index] = value
        elif member == "ContextKeyValues":
            values[index] = value
    return {names[index]: values.get(index, ()) for index in names}


def _tagged_keys(account: str, region: str) -> dict[str, dict[str, str]]:
    backend = kms_backends[account][region]
    arn = f"arn:{get_partition(region)}:kms:{region}:{account}:key"
    return {
        f"{arn}/{key_id}": dict(backend.tagger.get_tag_dict_for_resource(key_id))
        for key_id in list(backend.keys)
    }


def _passes(tags: Mapping[str, str], filters: Sequence[Mapping[str, Any]]) -> bool:
    """Every filter must hold; one without values asks for the key alone."""
    return all(
        one["Key"] in tags and (not one.get("Values") or tags[one["Key"]] in one["Values"])
        for one in filters
    )
