-- Key of the object outside of the database that has the bytes; null while they are in here, and once they were deleted.
ALTER TABLE blobs ADD COLUMN object TEXT COLLATE "C";

-- Objects that no row of blobs names: about to be named, or to be deleted.
CREATE TABLE loose_objects (
    object   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- When somebody began to write it; null once nobody may name it any more.
    began_at BIGINT
);
