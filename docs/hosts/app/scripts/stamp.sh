#!/bin/sh
echo "deployed by $DEPLOYMENT_ID of $APPLICATION_NAME"
