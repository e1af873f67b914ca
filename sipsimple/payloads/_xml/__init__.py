"""The machinery that the XML payloads are declared with; its public names are those of `sipsimple.payloads`."""
