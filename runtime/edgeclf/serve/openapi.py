"""The OpenAPI document of the service: every address, argument, answer and error, with examples."""

from typing import Any

from edgeclf import __version__

_RECORD_EXAMPLE = {
    "path": "IMG_0042.JPG",
    "unknown": False,
    "predictions": [
        {"label": "king penguin", "index": 145, "probability": 0.934211},
        {"label": "albatross", "index": 146, "probability": 0.011873},
    ],
    "device": "CPUExecutionProvider",
    "taken": "2026-11-27T03:26:04-03:00",
    "latitude": -54.51,
    "longitude": -36.75125,
    "camera": "Canon EOS R7 (032021001234)",
}
_FAILED_EXAMPLE: dict[str, Any] = {
    "path": "IMG_0043.JPG",
    "error": {"kind": "damaged", "message": "IMG_0043.JPG: damaged (a part is missing); copy it again from the camera"},
    "device": "CPUExecutionProvider",
}
_RANKED = {
    "type": "object",
    "required": ["label", "probability"],
    "properties": {
        "label": {"type": "string", "description": "The class name."},
        "index": {"type": "integer", "minimum": 0, "description": "Position among the logits."},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "display_name": {"type": "string", "description": "The name to show to people, if the model has one."},
    },
}
_ERROR = {
    "type": "object",
    "required": ["kind", "message"],
    "properties": {"kind": {"type": "string"}, "message": {"type": "string"}},
}
_SCHEMAS: dict[str, Any] = {
    "Record": {
        "type": "object",
        "description": "What `edgeclf predict --json` prints for a photo.",
        "required": ["path"],
        "properties": {
            "path": {"type": "string", "description": "The name that the photo was sent under."},
            "unknown": {"type": "boolean", "description": "The best probability is below the threshold."},
            "predictions": {"type": "array", "items": _RANKED, "description": "The best classes, best first."},
            "error": _ERROR,
            "device": {"type": "string", "description": "The execution provider."},
            "taken": {
                "type": "string",
                "description": "By the camera's clock, ISO 8601; this and the following only "
                "if the photo's EXIF says it, and not if the service runs with --no-exif.",
            },
            "latitude": {"type": "number", "minimum": -90, "maximum": 90, "description": "Degrees north."},
            "longitude": {"type": "number", "minimum": -180, "maximum": 180, "description": "Degrees east."},
            "camera": {"type": "string", "description": "Maker, model, and the serial number in brackets."},
        },
        "example": _RECORD_EXAMPLE,
    },
    "HuggingFace": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["label", "score"],
            "properties": {"label": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
        },
    },
    "Explanation": {
        "type": "object",
        "required": ["record", "photo", "seen", "maps"],
        "properties": {
            "record": {"$ref": "#/components/schemas/Record"},
            "photo": {
                "type": "object",
                "description": "Size of the upright photo, pixels.",
                "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}},
            },
            "seen": {
                "type": "array",
                "items": {"type": "number"},
                "minItems": 4,
                "maxItems": 4,
                "description": "Left, top, right, bottom of what the network saw, in pixels of the upright photo; "
                "what is outside the photo is padding.",
            },
            "maps": {"type": "array", "items": {"$ref": "#/components/schemas/HeatMap"}},
        },
    },
    "HeatMap": {
        "type": "object",
        "properties": {
            "label": {"type": "string"},
            "display_name": {"type": ["string", "null"]},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            "padding_share": {"type": "number", "description": "Share of the map's energy on padding, 0..1."},
            "height": {"type": "integer"},
            "width": {"type": "integer"},
            "values": {
                "type": "array",
                "items": {"type": "number", "minimum": 0, "maximum": 1},
                "description": "Row by row, height x width values.",
            },
        },
    },
    "Error": {"type": "object", "required": ["error"], "properties": {"error": _ERROR}},
}


def openapi(description: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The document.

    Args:
        description: what ``/model`` answers.
        prefix: the address that all others are relative to.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"edgeclf: {description['file']}",
            "version": __version__,
            "description": "Classifies photos. Answers are those of `edgeclf predict --json`, bit for bit. "
            "The sorting page uses addresses of its own, which are not described here.",
        },
        "servers": [{"url": prefix}],
        "security": [{"token": []}, {}],
        "paths": _paths(description),
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Printed when the service starts."}
            },
            "responses": {"Error": _json("An error that is not about one photo.", "Error")},
        },
    }


def _paths(description: dict[str, Any]) -> dict[str, Any]:
    photo: dict[str, Any] = {
        "required": True,
        "content": {
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
    form: dict[str, Any] = {
        "schema": {
            "type": "object",
            "properties": {"photo": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        }
    }
    plain = {"200": {"description": "JSON.", "content": {"application/json": {"schema": {"type": "object"}}}}}
    name = _argument("name", {"type": "string"}, "The photo's name, for the record.")
    top_k = _argument("top_k", {"type": "integer", "minimum": 1, "maximum": 999999, "default": 5}, "Classes to rank.")
    failed = {
        "413": _json("The photo or the request is too large.", "Record", "Error"),
        "422": _json("The photo cannot be read: its record says why.", "Record", example=_FAILED_EXAMPLE),
    }
    name_in_path = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/predict": {
            "post": {
                "summary": "Classify one photo, or the photos of a form",
                "description": "One photo as the body gives one record. A form gives a list, each photo with its "
                "record or its own error, in their order; with `Accept: application/x-ndjson` one record a line, "
                "each as soon as it is ready.",
                "parameters": [
                    name,
                    top_k,
                    _argument(
                        "threshold",
                        {"type": "number", "minimum": 0, "maximum": 1},
                        f"A photo is unknown below it; default here: {description['threshold']:g}.",
                    ),
                    _argument("format", {"enum": ["hf", "edgeclf"]}, 'hf: `[{"label", "score"}]`.'),
                ],
                "requestBody": {"required": True, "content": {**photo["content"], "multipart/form-data": form}},
                "responses": {
                    "200": {
                        "description": "The record, or the records.",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "anyOf": [
                                        {"$ref": "#/components/schemas/Record"},
                                        {"type": "array"},
                                    ]
                                },
                                "example": _RECORD_EXAMPLE,
                            },
                            "application/x-ndjson": {"schema": {"type": "string"}},
                        },
                    },
                    **failed,
                    **_errors("400", "401", "403", "408", "421", "503"),
                },
            }
        },
        "/explain": {
            "post": {
                "summary": "Show where the evidence for a class lies",
                "parameters": [
                    name,
                    top_k,
                    _argument("class", {"type": "string"}, "Default: the best-ranked class; as JSON, all with a map."),
                    _argument("format", {"enum": ["jpeg", "png", "json"]}, "Default: what Accept names, else jpeg."),
                ],
                "requestBody": {"required": True, "content": {**photo["content"], "multipart/form-data": form}},
                "responses": {
                    "200": {
                        "description": "The photo with its heat map, or the maps.",
                        "content": {
                            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
                            "image/png": {"schema": {"type": "string", "format": "binary"}},
                            "application/json": {"schema": {"$ref": "#/components/schemas/Explanation"}},
                        },
                    },
                    **failed,
                    **_errors("400", "401", "403", "408", "421", "503"),
                },
            }
        },
        "/model": {
            "get": {
                "summary": "The model, the service's settings and the manifest",
                "responses": {**plain, **_errors("401", "421")},
            }
        },
        **{
            path: {"get": {"summary": "The service answers", "responses": {**plain, **_errors("421")}}}
            for path in ("/healthz", "/v2/health/live")
        },
        **{
            path: {
                "get": {
                    "summary": "The model passed its self-test on this machine",
                    "responses": {**plain, **_errors("421", "503")},
                }
            }
            for path in ("/readyz", "/v2/health/ready")
        },
        "/v2/models/{name}": {
            "get": {
                "summary": "Inputs and outputs, as the Open Inference Protocol names them",
                "parameters": [name_in_path],
                "responses": {**plain, **_errors("401", "404", "421")},
            }
        },
        "/v2/models/{name}/ready": {
            "get": {
                "summary": "The model of this name passed its self-test on this machine",
                "parameters": [name_in_path],
                "responses": {**plain, **_errors("401", "404", "421", "503")},
            }
        },
        "/openapi.json": {
            "get": {"summary": "This document", "responses": {**plain, **_errors("401", "421")}},
        },
        "/metrics": {
            "get": {
                "summary": "Metrics for Prometheus",
                "responses": {
                    "200": {"description": "Text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
                    **_errors("401", "421"),
                },
            }
        },
    }


def _argument(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _json(text: str, *schemas: str, example: Any = None) -> dict[str, Any]:
    references = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
    content: dict[str, Any] = {"schema": references[0] if len(references) == 1 else {"anyOf": references}}
    if example is not None:
        content["example"] = example
    return {"description": text, "content": {"application/json": content}}


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: {"$ref": "#/components/responses/Error"} for status in statuses}
