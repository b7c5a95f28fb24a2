"""Who exists: droplets, their ports and documents, and who claims which port name. Pure.

Lives here: values, validation and completion of documents. Only the standard library is
imported; no sockets, files, clocks, databases, logging or OpenFlow.
"""
