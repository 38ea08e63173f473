"""The collections of a run, in a database of their own."""

import secrets

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

import bsonraw


class Store:
    """A database of a MongoDB server; it is dropped at the end."""

    def __init__(self, uri):
        self.uri = uri
        self.name = f"differential_{secrets.token_hex(4)}"
        self.client = pymongo.MongoClient(uri)
        self.database = self.client.get_database(
            self.name, codec_options=CodecOptions(document_class=RawBSONDocument)
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.drop_database(self.name)
        self.client.close()

    @staticmethod
    def raw(members):
        """Return a document that the driver sends as it is."""
        return RawBSONDocument(bsonraw.encode(members))

    def fill(self, name, documents, indexes):
        """Make a collection; return its documents as the server has kept them."""
        collection = self.database[name]
        collection.drop()
        if documents:
            collection.insert_many([self.raw(members) for members in documents])
        for path in indexes:
            try:
                collection.create_index(path)
            except pymongo.errors.OperationFailure:
                pass  # a path that cannot be indexed
        return [bsonraw.decode(document.raw) for document in collection.find()]

    def drop(self, name):
        """Drop a collection."""
        self.database.drop_collection(name)
