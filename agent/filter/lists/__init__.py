"""Lists of hosts: read in the forms they are published in, and compiled into one book that the resolver maps.

``formats`` knows what a line says, ``reading`` (a job, with the rights of whoever handed the list in) takes a file or folder
apart within limits, ``binding`` (a job) makes the book, ``book`` looks names up in it.
"""
