#!/bin/sh
# put user shutdown commands here
