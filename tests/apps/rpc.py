"""An XML-RPC server, from the library's documentation: it binds a socket of its own, which ours replaces."""

from xmlrpc.server import SimpleXMLRPCServer


def make_server() -> SimpleXMLRPCServer:
    server = SimpleXMLRPCServer(("127.0.0.1", 0), allow_none=True, logRequests=False)
    server.register_introspection_functions()
    server.register_function(lambda x, y: x**y, "pow")
    server.register_function(lambda x, y: x + y, "add")
    return server


ready_made = make_server()
