"""What the Python SPIFFE library gets from the Workload API that SPIFFE_ENDPOINT_SOCKET names, as one line of JSON."""

import json
import sys

from spiffe import JwtSvid, WorkloadApiClient
from spiffe.workloadapi.errors import ValidateJwtSvidError


def main(audience: str) -> None:
    with WorkloadApiClient() as agent:
        svid = agent.fetch_x509_svid()
        domain = svid.spiffe_id.trust_domain
        authorities = agent.fetch_x509_bundles().get_bundle_for_trust_domain(domain).x509_authorities
        token = agent.fetch_jwt_svid(audience={audience}).token
        bundle = agent.fetch_jwt_bundles().get_bundle_for_trust_domain(domain)
        valid = JwtSvid.parse_and_validate(token, bundle, {audience})
        try:
            JwtSvid.parse_and_validate(token, bundle, {audience + "s"})
            refused = False
        except Exception:  # Whatever the library calls it.
            refused = True
        validated = str(agent.validate_jwt_svid(token, audience).spiffe_id)
        try:
            agent.validate_jwt_svid(token, audience + "s")
            otherwise = True
        except ValidateJwtSvidError:
            otherwise = False
    print(
        json.dumps(
            {
                "x509": str(svid.spiffe_id),
                "authorities": len(authorities),
                "jwt": str(valid.spiffe_id),
                "another_audience_is_refused": refused,
                "validated": validated,
                "validated_for_another_audience": otherwise,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
