"""An S3 service on the loopback interface that checks signatures, with one bucket and one user who may use it.

Prints what is needed to use it as one line of JSON. Then it answers each line of its input with a line: `list` with the
keys, `put KEY` by overwriting an object, `delete KEY` by deleting one. It ends with its input.
"""

import json
import logging
import sys

import boto3
import requests
from moto.server import ThreadedMotoServer

BUCKET = "components"
REGION = "eu-central-1"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": f"arn:aws:s3:::{BUCKET}/*"},
    ],
}


def client(service, endpoint, key_id, secret):
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key_id, aws_secret_access_key=secret
    )


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client("s3", endpoint, "anybody", "anything").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    iam = client("iam", endpoint, "anybody", "anything")
    iam.create_user(UserName="everwit")
    iam.put_user_policy(UserName="everwit", PolicyName="components", PolicyDocument=json.dumps(POLICY))
    key = iam.create_access_key(UserName="everwit")["AccessKey"]
    # From now on, everybody has to be somebody.
    requests.post(f"{endpoint}/moto-api/reset-auth", data="0", timeout=30).raise_for_status()
    access = {"endpoint": endpoint, "bucket": BUCKET, "region": REGION}
    access |= {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
    print(json.dumps(access), flush=True)
    s3 = client("s3", endpoint, key["AccessKeyId"], key["SecretAccessKey"])
    for line in sys.stdin:
        match line.split():
            case ["list"]:
                found = s3.list_objects_v2(Bucket=BUCKET)
                answer = [entry["Key"] for entry in found.get("Contents", [])]
            case ["put", key]:
                s3.put_object(Bucket=BUCKET, Key=key, Body=b"something else")
                answer = True
            case ["delete", key]:
                s3.delete_object(Bucket=BUCKET, Key=key)
                answer = True
            case _:
                raise ValueError(f"{line!r} is no command")
        print(json.dumps(answer), flush=True)


main()
