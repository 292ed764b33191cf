#!/bin/sh
# A script of a real service would ask it for a page.
grep -q Hello /srv/hello/index.html
