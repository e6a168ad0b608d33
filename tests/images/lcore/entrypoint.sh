#!/bin/sh
# Forwards its arguments, as the entrypoint of the real image does.
exec python3 /app-root/standin.py "$@"
