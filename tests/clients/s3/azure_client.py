"""Looks at a container of Azure Storage with Microsoft's own SDK: python azure_client.py COMMAND ARGUMENTS, one line of JSON out.

The account is in SALLYPORT_AZURE_URL, SALLYPORT_AZURE_ACCOUNT and SALLYPORT_AZURE_KEY.
"""

import base64
import datetime
import json
import os
import sys

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

account, key = os.environ["SALLYPORT_AZURE_ACCOUNT"], os.environ["SALLYPORT_AZURE_KEY"]
service = BlobServiceClient(os.environ["SALLYPORT_AZURE_URL"], credential={"account_name": account, "account_key": key})


def container(name):
    """Makes a container, and gives a signature that opens it and nothing else, for an hour."""
    service.create_container(name)
    return generate_container_sas(
        account,
        name,
        account_key=key,
        permission=ContainerSasPermissions(read=True, write=True, create=True, delete=True, list=True),
        expiry=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1),
    )


def get(name, blob):
    """Reads a blob."""
    found = service.get_blob_client(name, blob)
    try:
        properties = found.get_blob_properties()
        content = found.download_blob().readall()
    except ResourceNotFoundError:
        return None
    return {"base64": base64.b64encode(content).decode(), "type": properties.content_settings.content_type}


def keys(name):
    """All names in a container."""
    return sorted(service.get_container_client(name).list_blob_names())


command, *arguments = sys.argv[1:]
print(json.dumps({c.__name__: c for c in [container, get, keys]}[command](*arguments)))
