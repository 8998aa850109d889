"""That a command line which AWS does not know is noticed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.project.aws_command_lines import WrongCommand, check

RIGHT = (
    "iam create-role --role-name r --assume-role-policy-document file://policy.json",
    "iam wait instance-profile-exists --instance-profile-name p",
    "ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text",
    "ec2 describe-vpcs --filters Name=vpc-id,Values=a,b Name=state,Values=available",
    "ec2 create-tags --resources i-1 i-2 --tags Key=Name,Value=x",
    "ec2 run-instances --count 1 --metadata-options HttpTokens=required,HttpPutResponseHopLimit=1",
    "ec2 run-instances --count 1 --user-data file://policy.json --enclave-options Enabled=true",
    """ec2 run-instances --count 1 --block-device-mappings '[{"Ebs": {"VolumeSize": 30}}]'""",
    "ec2 run-instances --count 1 --block-device-mappings 'Ebs={VolumeSize=30},DeviceName=/dev/a'",
    "ec2 create-volume --tag-specifications 'ResourceType=volume,Tags=[{Key=a},{Key=c,Value=d}]'",
    "sts get-caller-identity --region eu-west-1",
)
WRONG = {
    "iam make-role --role-name r": "no operation make-role",
    "iams create-role": "no such service",
    "ec2 wait instance-runs --instance-ids i-1": "no waiter instance-runs",
    "ec2 run-instances --enclave-options Enabled=true": "MaxCount",
    "ec2 run-instances --count 1 --enclaves Enabled=true": "no parameter --enclaves",
    "ec2 run-instances --count 1 --enclave-options Enable=true": "no member Enable",
    "ec2 run-instances --count 1 --instance-type m6i.mini": "m6i.mini is not one of",
    "ec2 run-instances --count 1 --metadata-options HttpTokens=must": "must is not one of",
    """ec2 run-instances --count 1 --block-device-mappings '[{"Ebs": {"Size": 30}}]'""": "Size",
    "ec2 run-instances --count 1 --query 'Instances[0].Id'": "no member Id",
    "iam create-role --role-name r --output texts": "no such output",
    "iam create-role --role-name r": "AssumeRolePolicyDocument",
    "iam create-role --role-name r s --assume-role-policy-document p": "takes one value",
}


@pytest.mark.parametrize("line", RIGHT)
def test_a_right_command_passes(line: str, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text("{}")
    words = shlex.split(line)
    check(words, tmp_path)
    assert words


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_does_not(line: str, tmp_path: Path) -> None:
    with pytest.raises(WrongCommand) as refused:
        check(shlex.split(line), tmp_path)
    assert WRONG[line] in str(refused.value)
