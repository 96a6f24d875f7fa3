# SPDX-License-Identifier: Apache-2.0
"""The message generator, run by ../gen.py: schema.py reads *.msg files (syntax: ../README.md), ctext.py has what all C
needs, the emit_* modules write one kind of C each."""
