"""Looks at an S3 service with AWS's own SDK, beside the gateway: python s3_client.py COMMAND ARGUMENTS, one line of JSON out.

The service is in SALLYPORT_S3_ENDPOINT, SALLYPORT_S3_REGION, SALLYPORT_S3_ACCESS_KEY and SALLYPORT_S3_SECRET_KEY.
"""

import base64
import json
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["SALLYPORT_S3_ENDPOINT"],
    region_name=os.environ["SALLYPORT_S3_REGION"],
    aws_access_key_id=os.environ["SALLYPORT_S3_ACCESS_KEY"],
    aws_secret_access_key=os.environ["SALLYPORT_S3_SECRET_KEY"],
    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
)


def bucket(name, versions=""):
    """Makes a bucket, with versions if that is said."""
    s3.create_bucket(Bucket=name)
    if versions:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def put(name, key, path):
    """Writes a file as an object."""
    with open(path, "rb") as file:
        return s3.put_object(Bucket=name, Key=key, Body=file.read())["ETag"]


def get(name, key, version=""):
    """Reads an object: boto3 compares its checksum, where there is one."""
    more = {"VersionId": version} if version else {}
    try:
        found = s3.get_object(Bucket=name, Key=key, ChecksumMode="ENABLED", **more)
    except ClientError as error:
        return {"error": error.response["Error"]["Code"]}
    return {
        "base64": base64.b64encode(found["Body"].read()).decode(),
        "type": found["ContentType"],
        "etag": found["ETag"],
        "sha256": found.get("ChecksumSHA256"),
        "version": found.get("VersionId"),
    }


def keys(name):
    """All keys of a bucket."""
    return sorted(found["Key"] for found in s3.list_objects_v2(Bucket=name).get("Contents", []))


def versions(name, key):
    """The versions of an object, the newest first, and how often it was deleted."""
    found = s3.list_object_versions(Bucket=name, Prefix=key)
    return {
        "versions": [v["VersionId"] for v in found.get("Versions", []) if v["Key"] == key],
        "deletions": len([d for d in found.get("DeleteMarkers", []) if d["Key"] == key]),
    }


def uploads(name):
    """The uploads in parts that are open."""
    return [found["Key"] for found in s3.list_multipart_uploads(Bucket=name).get("Uploads", [])]


COMMANDS = [bucket, put, get, keys, versions, uploads]
command, *arguments = sys.argv[1:]
print(json.dumps({c.__name__: c for c in COMMANDS}[command](*arguments)))
