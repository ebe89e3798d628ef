"""An OTLP collector made of the published Python package and gRPC's own server: it says what it is told, in lines of JSON.

With `--tls` it first says the certificate that it is known by. It stays until standard input closes.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

saying = threading.Lock()


def say(what):
    with saying:
        print(json.dumps(what), flush=True)


def service(told):
    attributes = {one.key: one.value.string_value for one in told.resource.attributes}
    return attributes["service.name"], attributes["service.instance.id"]


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        for told in request.resource_spans:
            name, instance = service(told)
            for span in (span for scope in told.scope_spans for span in scope.spans):
                say({
                    "service": name,
                    "instance": instance,
                    "span": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "failed": span.status.code == 2,
                    "took_ns": span.end_time_unix_nano - span.start_time_unix_nano,
                    "attributes": {one.key: MessageToDict(one.value) for one in span.attributes},
                })
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        for told in request.resource_metrics:
            name, instance = service(told)
            metrics = [metric for scope in told.scope_metrics for metric in scope.metrics]
            kinds = {metric.name: metric.WhichOneof("data") for metric in metrics}
            say({"service": name, "instance": instance, "metrics": kinds})
        return metrics_service_pb2.ExportMetricsServiceResponse()


def credentials():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "collector")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    begun = datetime.now(timezone.utc) - timedelta(minutes=5)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = certificate.not_valid_before(begun).not_valid_after(begun + timedelta(days=1))
    certificate = certificate.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return pem, grpc.ssl_server_credentials([(key.private_bytes(*encoding), pem)])


server = grpc.server(ThreadPoolExecutor(4))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
if "--tls" in sys.argv:
    pem, credentials = credentials()
    port = server.add_secure_port("127.0.0.1:0", credentials)
    say({"port": port, "certificate": pem.decode()})
else:
    say({"port": server.add_insecure_port("127.0.0.1:0")})
server.start()
sys.stdin.read()
server.stop(None)
