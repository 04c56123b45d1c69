"""AWS KMS as the key provider, against moto's server: bound to its encryption context, its key named in every question."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from mypy_boto3_kms import KMSClient

from app.kernel.errors import KeysDown, UnsafeStart
from app.vault.keys.kms import AwsKms, Place
from tests.vault import provider_kit
from tests.vault.provider_kit import CONTEXT, KEY
from tests.vault.transit_kit import serving

REGION, SECRET = "ap-southeast-3", "rahasia-uji"


@dataclass(frozen=True)
class Cloud:
    """A stand-in of AWS KMS, and a key in it."""

    client: KMSClient
    url: str
    key: str

    def place(self, key: str = "") -> Place:
        return Place(key or self.key, REGION, self.url)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("kms", region_name=REGION, endpoint_url=url, aws_access_key_id="uji", aws_secret_access_key=SECRET)
    yield Cloud(client, url, client.create_key()["KeyMetadata"]["KeyId"])
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an instance role gives them; no file of this machine is looked at."""
    for name, value in (("AWS_ACCESS_KEY_ID", "uji"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")


def test_a_key_comes_back_in_its_place_alone(cloud: Cloud) -> None:
    """The four things every provider must hold."""
    provider = AwsKms.open(cloud.place())

    provider_kit.round_trip(provider)
    provider_kit.refuses_another_place(provider)
    provider_kit.refuses_other_bytes(provider)
    provider_kit.keeps_its_secret(provider, SECRET, KEY.hex())
    assert provider.health() == f"aws-kms:{cloud.key} in {REGION}: open"


def test_id_and_arn_are_one_key(cloud: Cloud) -> None:
    """What was wrapped under the id opens under the ARN."""
    arn = cloud.client.describe_key(KeyId=cloud.key)["KeyMetadata"]["Arn"]
    wrapped = AwsKms.open(cloud.place()).wrap(KEY, CONTEXT)

    assert AwsKms.open(cloud.place(arn)).unwrap(wrapped, CONTEXT) == KEY


def test_another_key_of_the_same_account_opens_nothing(cloud: Cloud) -> None:
    """Told apart by the head; and by KMS, should somebody rewrite the head."""
    wrapped = AwsKms.open(cloud.place()).wrap(KEY, CONTEXT)
    other = AwsKms.open(cloud.place(cloud.client.create_key()["KeyMetadata"]["KeyId"]))

    with pytest.raises(KeysDown, match="wrapped by aws-kms key"):
        other.unwrap(wrapped, CONTEXT)
    with pytest.raises(KeysDown, match="was wrapped by another key"):
        other.unwrap(other.wrap(KEY, CONTEXT)[:10] + wrapped[10:], CONTEXT)


def test_a_disabled_or_doomed_or_absent_key_says_so(cloud: Cloud) -> None:
    """Before it is used, and while it is."""
    made = cloud.client.create_key()["KeyMetadata"]["KeyId"]
    provider = AwsKms.open(cloud.place(made))
    cloud.client.disable_key(KeyId=made)
    with pytest.raises(KeysDown, match="is disabled"):
        AwsKms.open(cloud.place(made))
    cloud.client.enable_key(KeyId=made)
    cloud.client.schedule_key_deletion(KeyId=made, PendingWindowInDays=7)

    with pytest.raises(KeysDown, match="cannot be used now"):
        AwsKms.open(cloud.place(made))
    assert provider.newest() == f"aws-kms:{made}"
    with pytest.raises(KeysDown, match="is not there"):
        AwsKms.open(cloud.place("00000000-0000-0000-0000-000000000000"))


def test_a_signing_key_is_refused(cloud: Cloud) -> None:
    """Only a symmetric key for encrypting and decrypting binds a context."""
    made = cloud.client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]

    with pytest.raises(UnsafeStart, match="is not a symmetric key"):
        AwsKms.open(cloud.place(made))


def test_a_slow_or_absent_cloud_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One question and no second try; without credentials none is asked."""
    with serving() as slow:
        slow.delay = 0.3
        with pytest.raises(KeysDown, match=r"does not answer within 0\.05 s"):
            AwsKms.open(Place("k", REGION, slow.url, timeout=0.05))
        assert len(slow.heard) == 1
    with pytest.raises(KeysDown, match="cannot be reached"):
        AwsKms.open(Place("k", REGION, "http://127.0.0.1:1", timeout=0.5))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(KeysDown, match="no AWS credentials"):
        AwsKms.open(Place("k", REGION, "http://127.0.0.1:1"))


def test_a_forked_child_has_its_own_connection(cloud: Cloud) -> None:
    """The server opens the provider before it forks its workers."""
    provider = AwsKms.open(cloud.place())
    wrapped = provider.wrap(KEY, CONTEXT)
    child = os.fork()
    if child == 0:
        os._exit(0 if provider.unwrap(wrapped, CONTEXT) == KEY else 1)

    assert provider.unwrap(wrapped, CONTEXT) == KEY
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
